//! Running other programs: what fails says its command line and how it ended.

use crate::error::{Error, Result};
use crate::say;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Output, Stdio};

/// The command line as a person would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        let argument = argument.to_string_lossy();
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            line.push('\'');
            line.push_str(&argument);
            line.push('\'');
        } else {
            line.push_str(&argument);
        }
    }
    line
}

fn not_started(command: &Command, source: std::io::Error) -> Error {
    Error::Io { doing: format!("run `{}`", line_of(command)), source }
}

fn judge(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { line: line_of(command), ended: format!("ended with {status}") })
}

/// Runs it with the caller's terminal, its standard output among the narration; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(std::io::stderr()).status().map_err(|source| not_started(command, source))?;
    judge(command, status)
}

/// Runs it with the caller's terminal, its standard output being this task's result.
pub(crate) fn hand_over(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|source| not_started(command, source))?;
    judge(command, status)
}

/// Runs it and returns all that it wrote, whatever its exit status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().map_err(|source| not_started(command, source))
}

/// Runs it and returns its standard output; an error carries the end of its standard error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut last: Vec<&str> = said.lines().rev().take(12).collect();
        last.reverse();
        return Err(Error::Command {
            line: line_of(command),
            ended: format!("ended with {}:\n{}", output.status, last.join("\n")),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs it, passes its standard output on line by line as it comes, and hands each line to `watch`.
pub(crate) fn run_watched(command: &mut Command, mut watch: impl FnMut(&str)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|source| not_started(command, source))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(Error::failed("a child process has no standard output"));
    };
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|source| Error::Io { doing: "read a command's output".into(), source })?;
        let line = String::from_utf8_lossy(&line);
        say::line(&line);
        watch(&line);
    }
    let status = child.wait().map_err(|source| not_started(command, source))?;
    judge(command, status)
}

/// Whether a program of this name answers to `--version`.
pub(crate) fn is_there(program: impl AsRef<OsStr>) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_what_it_was_and_what_it_said() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c 'echo broken >&2; exit 3'") && text.contains("broken"), "{text}");
    }

    #[test]
    fn a_watched_command_hands_over_each_line() {
        let mut seen = Vec::new();
        run_watched(Command::new("printf").arg("a\\nb\\n"), |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn a_program_that_does_not_exist_is_not_there() {
        assert!(!is_there("firn-no-such-program"));
        assert!(is_there("sh") || is_there("ls"));
    }
}
