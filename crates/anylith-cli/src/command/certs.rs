//! `anylith certs`.

use std::{
    io::{self, Write as _},
    time::SystemTime,
};

use anylith_core::with_causes;
use anylith_kube::{needs_certificate, secret_manifest, secret_name};
use anylith_pki::{Authority, AuthorityError, GroupSubject};

use super::{
    output::{Output, Sort},
    render_kubernetes::Clustered,
    render_static::lifetimes,
};
use crate::{args::CertsArgs, failure::Failure, paint::Paint};

/// The list of what was written into the folder.
const LIST: &str = ".anylith-certs";

/// Issues a certificate to each group that calls others, or is called, and writes it as a Secret.
pub(crate) fn certs(args: CertsArgs) -> Result<(), Failure> {
    let Clustered {
        app,
        plan,
        cluster,
        kubernetes,
        spec,
        namespace,
        ..
    } = Clustered::of(args.cluster, Vec::new())?;
    if let Some(issuer) = &kubernetes.issuer {
        return Err(Failure::input(
            format!(
                "certificates are issued by the {} `{}`",
                issuer.kind, issuer.name
            ),
            "take `issuer` out of [kubernetes], or leave them to cert-manager",
        ));
    }
    let mut output = Output::open(&args.output, LIST)?;
    let ca = args.ca.unwrap_or_else(|| app.beside(".anylith-ca"));
    let failed = |error: AuthorityError| {
        let mend = "name another folder for it with --ca, if this one cannot be mended";
        Failure::new(with_causes(&error), mend)
    };
    let now = SystemTime::now();
    let open = || {
        let mut authority = Authority::open(&ca, plan.app.clone(), lifetimes(args.days), now)?;
        authority.tend(now)?;
        Ok(authority)
    };
    let mut authority = None;
    let mut written = Vec::new();
    for group in &cluster.groups {
        let Some(of) = spec
            .group(&group.group)
            .filter(|of| needs_certificate(&spec, of))
        else {
            continue;
        };
        let authority = match &authority {
            Some(authority) => authority,
            None => authority.insert(open().map_err(failed)?),
        };
        let subject = GroupSubject {
            app: plan.app.clone(),
            group: of.name.clone(),
            components: of.components.clone(),
        };
        let identity = authority.issue_to_group(&subject, now).map_err(failed)?;
        let name = secret_name(&group.object);
        let texts = [&identity.certificates, &identity.key, &identity.roots];
        let text = secret_manifest((&name, namespace.as_deref()), texts.map(String::as_str))
            .map_err(|error| {
                Failure::new(
                    error.to_string(),
                    "report this: it is a mistake of `anylith`",
                )
            })?;
        let path = format!("{name}.yaml");
        output.add(&path, Sort::Private, text);
        written.push(path);
    }
    written.sort();
    output.write()?;
    let out = args.output.display();
    let mut said = io::stdout().lock();
    for path in &written {
        writeln!(said, "{out}/{path}")?;
    }
    drop(said);
    let mut told = io::stderr().lock();
    if written.is_empty() {
        writeln!(told, "no group calls another one: no certificate is needed")?;
        return Ok(());
    }
    writeln!(
        told,
        "certificates are valid for {} days from now; the authority that issued them is in {}, and belongs in no cluster",
        args.days,
        ca.display()
    )?;
    let namespace = namespace.map(|it| format!(" -n {it}")).unwrap_or_default();
    writeln!(told, "{}", Paint::for_stderr().bold("next:"))?;
    writeln!(told, "  kubectl apply{namespace} -f {out}/")?;
    Ok(())
}
