//! With what the guests are compiled to `wasm32-wasip2`.
//!
//! Two ways, tried in this order:
//!
//! - **rustup**: the standard library for the target comes from rustup.
//! - **Debian**: where rustup's downloads are out of reach, Debian's packages
//!   `rustc-web` and `rust-web-src` stand in: their compiler, driven by the
//!   installed cargo, builds the standard library from source against Debian's
//!   `wasi-libc`. That libc is one of WASI 0.1, whose imports
//!   `wasm-component-ld` adapts, and lacks the thread functions that the
//!   standard library names, so a small C library supplies them.
//!
//! `LAKEHOUSE_GUEST_TOOLCHAIN=rustup` or `=debian` forces one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::paths::Paths;
use crate::setup::apt_install;

/// The target that every plugin is compiled to.
pub const TARGET: &str = "wasm32-wasip2";

/// Where Debian's `wasi-libc` keeps `libc.a`.
const WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// Thread functions that the standard library names and `wasi-libc` lacks. A
/// component has one thread, so making a second one fails.
const THREAD_STUBS: &str = r"
#include <errno.h>
int pthread_attr_init(void *attr) { return 0; }
int pthread_attr_setstacksize(void *attr, unsigned long size) { return 0; }
int pthread_attr_destroy(void *attr) { return 0; }
int pthread_detach(void *thread) { return 0; }
int pthread_create(void *thread, const void *attr, void *(*start)(void *), void *arg) { return EAGAIN; }
int pthread_join(void *thread, void **result) { return EINVAL; }
";

/// How guests are compiled on this machine.
pub struct Toolchain {
    /// Cargo's target folder for guests.
    pub target: PathBuf,
    debian: Option<Debian>,
}

struct Debian {
    rustc: PathBuf,
    path: OsString,
    stubs: PathBuf,
}

impl Toolchain {
    /// Finds or installs a way to compile guests.
    pub fn prepare(paths: &Paths) -> Result<Self> {
        let choice = std::env::var("LAKEHOUSE_GUEST_TOOLCHAIN").unwrap_or_default();
        match choice.as_str() {
            "" if rustup_has_target() || rustup_adds_target() => Ok(Self::rustup(paths)),
            "" => {
                println!("rustup cannot install {TARGET}; using Debian's compiler for it");
                Self::debian(paths)
            }
            "rustup" if rustup_has_target() || rustup_adds_target() => Ok(Self::rustup(paths)),
            "rustup" => bail!("rustup cannot install {TARGET}"),
            "debian" => Self::debian(paths),
            other => bail!("LAKEHOUSE_GUEST_TOOLCHAIN is `{other}`; it may be rustup or debian"),
        }
    }

    fn rustup(paths: &Paths) -> Self {
        Self {
            target: paths.target.join("guest"),
            debian: None,
        }
    }

    fn debian(paths: &Paths) -> Result<Self> {
        let missing = ["rustc-web", "rust-web-src", "wasi-libc", "clang", "lld"]
            .into_iter()
            .filter(|package| !package_installed(package))
            .collect::<Vec<_>>();
        apt_install(&missing)?;
        let files = command::output(Command::new("dpkg").args(["-L", "rustc-web"]))?;
        let rustc = files
            .lines()
            .find(|file| file.ends_with("/bin/rustc"))
            .context("the package rustc-web holds no bin/rustc")?;
        let sysroot = command::output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let host = native()?;
        let linkers = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin");
        let mut folders = vec![linkers.clone(), linkers.join("gcc-ld")];
        folders.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        Ok(Self {
            target: paths.target.join("guest-debian"),
            debian: Some(Debian {
                rustc: PathBuf::from(rustc),
                path: std::env::join_paths(folders)?,
                stubs: thread_stubs(&paths.target.join("guest-debian"))?,
            }),
        })
    }

    /// A cargo command of the guest workspace: `cargo <verb> --release ...`.
    pub fn cargo(&self, paths: &Paths, verb: &str) -> Command {
        let mut cargo = command::cargo();
        cargo
            .current_dir(paths.plugins())
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("RUSTFLAGS")
            .args([verb, "--release"]);
        if self.debian.is_some() {
            cargo.envs(self.env()).args(["--target", TARGET]);
        }
        cargo
    }

    /// What cargo's environment must hold to compile guests.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        let Some(debian) = &self.debian else {
            return Vec::new();
        };
        let flags = format!(
            "-L {WASI_LIBC} -C link-self-contained=no -C link-arg={}",
            debian.stubs.display()
        );
        vec![
            ("RUSTC", debian.rustc.clone().into()),
            ("RUSTC_BOOTSTRAP", "1".into()),
            ("PATH", debian.path.clone()),
            ("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", flags.into()),
            ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort".into()),
        ]
    }

    /// `cargo clippy` of the guest workspace. The lints come from rustup's
    /// compiler, which cannot read what Debian's compiled; there they look at the
    /// guests as code for this machine, without the few parts that only wasm has.
    pub fn clippy(&self, paths: &Paths) -> Result<Command> {
        if self.debian.is_none() {
            return Ok(self.cargo(paths, "clippy"));
        }
        let mut cargo = command::cargo();
        cargo
            .current_dir(paths.plugins())
            .env("CARGO_TARGET_DIR", paths.target.join("guest-native"))
            .args(["clippy", "--release", "--target", &native()?]);
        Ok(cargo)
    }

    /// Where cargo leaves the component of a package.
    pub fn artifact(&self, package: &str) -> PathBuf {
        self.target
            .join(TARGET)
            .join("release")
            .join(format!("{package}.wasm"))
    }
}

/// The target triple of this machine.
pub fn native() -> Result<String> {
    let version = command::output(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

fn rustup_has_target() -> bool {
    command::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))
        .is_ok_and(|folder| Path::new(&folder).is_dir())
}

fn rustup_adds_target() -> bool {
    println!("Installing the target {TARGET}");
    command::exists("rustup")
        && command::succeeds_within(
            Command::new("rustup")
                .env("RUSTUP_MAX_RETRIES", "1")
                .args(["target", "add", TARGET]),
            Duration::from_secs(180),
        )
        && rustup_has_target()
}

fn package_installed(package: &str) -> bool {
    Command::new("dpkg")
        .args(["-s", package])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Compiles [`THREAD_STUBS`] to a static library.
fn thread_stubs(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let source = folder.join("thread_stubs.c");
    let object = folder.join("thread_stubs.o");
    let library = folder.join("libthread_stubs.a");
    if fs::read_to_string(&source).is_ok_and(|text| text == THREAD_STUBS) && library.exists() {
        return Ok(library);
    }
    let _ = fs::remove_file(&library);
    fs::write(&source, THREAD_STUBS)?;
    command::run(
        Command::new("clang")
            .args([
                "--target=wasm32-wasi",
                "-isystem",
                "/usr/include/wasm32-wasi",
                "-O2",
                "-c",
            ])
            .arg(&source)
            .arg("-o")
            .arg(&object),
    )?;
    command::run(Command::new("ar").arg("crs").arg(&library).arg(&object))?;
    Ok(library)
}
