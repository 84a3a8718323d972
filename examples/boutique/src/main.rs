//! Runs the shop, in whichever role its environment gives it.

use boutique::Boutique;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    Boutique::run().await
}
