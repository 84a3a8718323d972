//! `anylith image`.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anylith_core::with_causes;
use anylith_image::{Image, Libraries, LibraryError};
use anylith_kube::ImageReference;
use anylith_topology::{Problem, Problems};

use super::runtime;
use crate::{
    app::App,
    args::{Building, ImageArgs, Overriding},
    describe,
    failure::Failure,
    inspection::Inspection,
    paint::Paint,
};

/// Writes the image of an application.
pub(crate) fn image(args: ImageArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    if let Some(Err(what)) = args.tag.as_ref().map(|tag| tag.parse::<ImageReference>()) {
        let mend = "write it as nodes pull it, as in -t registry.example.com/shop:1.4";
        let label = format!("--tag {}", args.tag.unwrap_or_default());
        return Err(Problems::from(Problem::given(&label, what, mend)).into());
    }
    let building = Building { release: true };
    let described = async {
        let binary = Inspection::binary(&app, &Overriding::default(), &building, &[]).await?;
        let manifest = describe::manifest(&binary, &app.folder).await?;
        Ok::<_, Failure>((binary, manifest))
    };
    let (binary, manifest) = runtime()?.block_on(described)?;
    let program = fs::read(&binary).map_err(|error| {
        let what = format!("{} cannot be read: {error}", binary.display());
        Failure::new(what, "let this user read it")
    })?;
    let libraries = Libraries::of(&binary, &program).map_err(|error| not_put_in(&error))?;
    let name = manifest.app.as_str().to_ascii_lowercase();
    let reference = args
        .tag
        .unwrap_or_else(|| format!("{}:latest", name.replace('_', "-")));
    let image = Image {
        reference: &reference,
        name: &name,
        program: &program,
        libraries: &libraries,
    };
    let output = args
        .output
        .unwrap_or_else(|| format!("{name}.oci.tar").into());
    let unwritten = |error: io::Error| {
        let what = format!("{} cannot be written: {error}", output.display());
        Failure::new(what, "name a file that this user may write with -o")
    };
    let archive = image.archive().map_err(unwritten)?;
    write(&output, &archive.bytes).map_err(unwritten)?;
    let out = output.display();
    writeln!(io::stdout().lock(), "{out}: {reference}@{}", archive.digest)?;
    let mut told = io::stderr().lock();
    let found: Vec<String> = libraries
        .found
        .keys()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let found = match found.is_empty() {
        true => "no libraries: the binary needs none".to_owned(),
        false => format!("its libraries: {}", found.join(", ")),
    };
    let megabytes = |bytes: usize| bytes as f64 / 1e6;
    writeln!(
        told,
        "{:.1} MB as it is pulled: {} ({:.1} MB), and {found}",
        megabytes(archive.size),
        binary.display(),
        megabytes(program.len()),
    )?;
    writeln!(told, "{}", Paint::for_stderr().bold("next, one of these:"))?;
    writeln!(told, "  skopeo copy oci-archive:{out} docker://{reference}")?;
    writeln!(told, "  podman load -i {out} && podman push {reference}")?;
    writeln!(told, "  kind load image-archive {out}")?;
    Ok(())
}

/// Writes `bytes` to `path` in one step.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

fn not_put_in(error: &LibraryError) -> Failure {
    let what = with_causes(error);
    match error {
        LibraryError::Missing { library, .. } => Failure::new(
            what,
            format!(
                "install the package with {library}, or build without it: with \
                 `RUSTFLAGS=-Ctarget-feature=+crt-static` and `--target` a binary needs no library at all"
            ),
        ),
        LibraryError::Program { .. } => Failure::new(
            what,
            "build it for Linux: a script cannot run without a shell",
        ),
        _ => Failure::new(what, "let this user read it"),
    }
}
