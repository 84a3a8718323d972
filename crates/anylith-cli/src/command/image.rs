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
    registry::Target,
};

/// Makes the image of an application, and writes it or pushes it.
pub(crate) fn image(args: ImageArgs) -> Result<(), Failure> {
    let app = App::find(&args.app)?;
    let target = target(&args)?;
    let building = Building { release: true };
    let described = async {
        let binary = Inspection::binary(&app, &Overriding::default(), &building, &[]).await?;
        let manifest = describe::manifest(&binary, &app.folder).await?;
        Ok::<_, Failure>((binary, manifest))
    };
    let runtime = runtime()?;
    let (binary, manifest) = runtime.block_on(described)?;
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
    // What is pushed needs no file, unless one is named.
    let output = match (args.output, &target) {
        (None, Some(_)) => None,
        (output, _) => Some(output.unwrap_or_else(|| format!("{name}.oci.tar").into())),
    };
    let unwritten = |path: &Path, error: &io::Error| {
        let what = format!("{} cannot be written: {error}", path.display());
        Failure::new(what, "name a file that this user may write with -o")
    };
    let packed = image
        .pack()
        .map_err(|error| Failure::new(format!("it cannot be packed: {error}"), ""))?;
    if let Some(path) = &output {
        let written = packed.archive().and_then(|bytes| write(path, &bytes));
        written.map_err(|error| unwritten(path, &error))?;
    }
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
    writeln!(
        told,
        "{:.1} MB as it is pulled: {} ({:.1} MB), and {found}",
        megabytes(packed.size()),
        binary.display(),
        megabytes(program.len()),
    )?;
    let named = format!("{reference}@{}", packed.manifest.digest);
    let paint = Paint::for_stderr();
    if let Some(target) = target {
        let sent = runtime.block_on(target.push(&packed))?;
        writeln!(
            told,
            "{:.1} MB sent; the registry had the rest",
            megabytes(sent)
        )?;
        writeln!(io::stdout().lock(), "{named}")?;
        let render = app.hint(&format!("render kubernetes --image {reference}"));
        writeln!(told, "{}\n  {render}", paint.bold("next:"))?;
    } else if let Some(path) = &output {
        let out = path.display();
        writeln!(io::stdout().lock(), "{out}: {named}")?;
        writeln!(told, "{}", paint.bold("next, one of these:"))?;
        writeln!(
            told,
            "  {}",
            app.hint(&format!("image -t {reference} --push"))
        )?;
        writeln!(told, "  skopeo copy oci-archive:{out} docker://{reference}")?;
        writeln!(told, "  podman load -i {out} && podman push {reference}")?;
        writeln!(told, "  kind load image-archive {out}")?;
    }
    Ok(())
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Where the image is to be pushed, if it is; or what is wrong with what it is called.
fn target(args: &ImageArgs) -> Result<Option<Target>, Failure> {
    let mend = "write it as nodes pull it, as in -t registry.example.com/shop:1.4";
    let Some(tag) = &args.tag else {
        return match args.push {
            true => Err(Failure::input("--push needs to know where to", mend)),
            false => Ok(None),
        };
    };
    let wrong = |what| Problems::from(Problem::given(&format!("--tag {tag}"), what, mend)).into();
    let reference = tag.parse::<ImageReference>().map_err(wrong)?;
    match args.push {
        true => Target::of(&reference).map(Some).map_err(wrong),
        false => Ok(None),
    }
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
