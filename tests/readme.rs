//! The commands of the README do what it says: they are run here, in its order.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::{Context as _, bail, ensure};
use e2e::{App, Shop, Start, repository};

/// Commands in the code blocks of a Markdown text, without prompts and comments.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    let mut in_shell = None;
    for line in markdown.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            in_shell = match in_shell {
                Some(_) => None,
                None => Some(["sh", "shell", "bash", "console"].contains(&language)),
            };
        } else if in_shell == Some(true) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let line = line.split(" #").next().unwrap_or_default();
            let words = line
                .split_whitespace()
                .map(|word| word.trim_matches('"').to_owned());
            commands.push(words.collect::<Vec<_>>());
        }
    }
    commands
}

#[test]
fn the_commands_of_the_readme_work() -> anyhow::Result<()> {
    let readme = fs::read_to_string(repository().join("README.md")).context("no README.md")?;
    let mut reader = Reader::default();
    let mut seen = 0;
    for command in commands(&readme) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let done = match words.as_slice() {
            ["anylith", rest @ ..]
            | ["cargo", "run", "-p", "anylith-cli", "--", rest @ ..]
            | [
                "cargo",
                "run",
                "--release",
                "-p",
                "anylith-cli",
                "--",
                rest @ ..,
            ] => reader.anylith(rest),
            ["cargo", "xtask", chore, ..] => knows_chore(chore),
            _ => continue,
        };
        done.with_context(|| format!("README.md says `{}`", command.join(" ")))?;
        seen += 1;
    }
    ensure!(seen >= 3, "README.md shows only {seen} commands");
    Ok(())
}

/// The chores are too long to be run from here; but they have to exist.
fn knows_chore(chore: &str) -> anyhow::Result<()> {
    let main = fs::read_to_string(repository().join("xtask/src/main.rs"))?;
    let (first, rest) = chore.split_at(1);
    let variant = format!("Chore::{}{rest}", first.to_uppercase());
    ensure!(main.contains(&variant), "`cargo xtask {chore}` is no chore");
    Ok(())
}

/// Somebody who types what the README says; whatever example it names, with the shop.
#[derive(Default)]
struct Reader {
    shop: Option<Shop>,
}

impl Reader {
    fn anylith(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let (name, rest) = words.split_first().context("no command")?;
        // The shop is the folder in which commands are run.
        let rest: Vec<&str> = rest
            .iter()
            .copied()
            .filter(|word| !word.starts_with("examples/"))
            .collect();
        if *name == "run" {
            return self.run(&rest);
        }
        let app;
        let mut command = match &self.shop {
            Some(shop) => shop.app().command()?,
            None => {
                app = App::copy()?;
                app.command()?
            }
        };
        command.arg(name).args(&rest);
        if rest.iter().any(|word| ["-f", "--follow"].contains(word)) {
            // It has no end; its first line will do.
            let mut child = command.stdout(Stdio::piped()).spawn()?;
            let output = child.stdout.take().expect("it is piped");
            let first = BufReader::new(output).lines().next();
            child.kill()?;
            child.wait()?;
            first.context("it shows nothing")??;
            return Ok(());
        }
        let output = command.output()?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        if *name == "stop" {
            self.shop = None;
        }
        Ok(())
    }

    fn run(&mut self, rest: &[&str]) -> anyhow::Result<()> {
        // Two of them would be two shops; a reader stops the one before.
        self.shop = None;
        // Detached or not, the shop has to get ready.
        let arguments = rest.iter().filter(|word| **word != "--detach");
        let start = arguments.fold(Start::default(), |start, word| start.argument(word));
        self.shop = Some(start.start()?);
        Ok(())
    }
}

#[test]
fn commands_are_found_in_code_blocks_of_the_shell() {
    let markdown = "anylith no\n```rust\nanylith no\n```\n```sh\n$ anylith run a  # it runs\n```\n";
    assert_eq!(commands(markdown), [["anylith", "run", "a"]]);
}
