//! One call of NVRTC: text in, cubin and log out.

use super::api::{self, Program};
use super::find::Loaded;
use super::log::{KernelResources, resources};
use super::{Nvrtc, cache};
use crate::Error;
use std::ffi::{CString, c_char, c_int};

/// Machine code and what the assembler said of it.
#[derive(Clone, Debug)]
pub struct Cubin {
    /// An ELF file, as the driver loads it.
    pub bytes: Vec<u8>,
    /// What compiler and assembler printed.
    pub log: String,
    /// One for each kernel, by name.
    pub resources: Vec<KernelResources>,
}

/// Compiles for `arch`, as `sm_90a`. `name` is for messages.
///
/// # Errors
/// F0911 if NVRTC is missing, or with its log: generated text that does not compile is a defect of fusco.
pub fn compile(source: &str, name: &str, arch: &str) -> Result<Cubin, Error> {
    compile_by(Nvrtc::find()?.loaded(), source, name, arch)
}

/// As [`compile`], by a library that need not be the one that was found.
pub(super) fn compile_by(
    loaded: &Loaded,
    source: &str,
    name: &str,
    arch: &str,
) -> Result<Cubin, Error> {
    with_program(loaded, source, name, &cache::options(arch), |program, log| {
        // SAFETY: the program was compiled.
        let bytes = unsafe { bytes(program, loaded.api.cubin_size, loaded.api.cubin) };
        let bytes = bytes.filter(|b| !b.is_empty());
        let bytes = bytes.ok_or_else(|| Error::Nvrtc("NVRTC gave no cubin".to_string()))?;
        Ok(Cubin { bytes, resources: resources(&log), log })
    })
}

/// Whether a small kernel compiles: a library may lack what it loads itself.
pub(super) fn try_out(loaded: &Loaded) -> Result<(), Error> {
    let source = "extern \"C\" __global__ void trial(int *x) { atomicAdd(x, 1); }";
    compile_by(loaded, source, "trial", "sm_90a").map(|_| ())
}

/// The PTX of a source for the virtual architecture of `arch`: to read, not to run.
///
/// # Errors
/// As [`compile`].
pub fn ptx(source: &str, name: &str, arch: &str) -> Result<String, Error> {
    let options = [
        format!("--gpu-architecture={}", arch.replacen("sm_", "compute_", 1)),
        "--std=c++17".to_string(),
        "-default-device".to_string(),
    ];
    let loaded = Nvrtc::find()?.loaded();
    with_program(loaded, source, name, &options, |program, _| {
        // SAFETY: the program was compiled.
        let text = unsafe { bytes(program, loaded.api.ptx_size, loaded.api.ptx) };
        text.map(text_of).ok_or_else(|| Error::Nvrtc("NVRTC gave no PTX".to_string()))
    })
}

/// A compiled program and its log, for as long as `f` runs.
fn with_program<T>(
    loaded: &Loaded,
    source: &str,
    name: &str,
    options: &[String],
    f: impl FnOnce(Program, String) -> Result<T, Error>,
) -> Result<T, Error> {
    let c =
        |text: &str| CString::new(text).map_err(|_| Error::Nvrtc(format!("`{name}` has a NUL")));
    let (source, file) = (c(source)?, c(&format!("{name}.cu"))?);
    let options = options.iter().map(|o| c(o)).collect::<Result<Vec<CString>, Error>>()?;
    let options: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
    let (api, none) = (&loaded.api, std::ptr::null());
    let mut program: Program = std::ptr::null_mut();
    // SAFETY: both texts end with a NUL and outlive the call; there are no headers.
    let made = unsafe { (api.create)(&mut program, source.as_ptr(), file.as_ptr(), 0, none, none) };
    if made != 0 {
        return Err(Error::Nvrtc(format!("NVRTC: {}", api::name(made))));
    }
    // SAFETY: the program was created above and is destroyed below; so many options are there.
    let compiled = unsafe { (api.compile)(program, options.len() as c_int, options.as_ptr()) };
    // SAFETY: the program has a log, compiled or not.
    let log = unsafe { bytes(program, api.log_size, api.log) }.map(text_of).unwrap_or_default();
    let out = match compiled {
        0 => f(program, log),
        e => {
            let e = api::name(e);
            Err(Error::Nvrtc(format!("NVRTC refused `{name}.cu` ({e}):\n{log}")))
        }
    };
    // SAFETY: as above; not used afterwards.
    let _ = unsafe { (api.destroy)(&mut program) };
    out
}

/// What a pair of functions gives of a program: the length, then so many bytes.
///
/// # Safety
/// The program lives and is at the stage that the functions ask for.
unsafe fn bytes(
    program: Program,
    size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    fill: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
) -> Option<Vec<u8>> {
    let mut len = 0;
    // SAFETY: by the caller; `len` is writable.
    if unsafe { size(program, &mut len) } != 0 {
        return None;
    }
    let mut out = vec![0u8; len];
    // SAFETY: by the caller; `out` has the length just asked for.
    let status = unsafe { fill(program, out.as_mut_ptr().cast()) };
    (status == 0).then_some(out)
}

fn text_of(bytes: Vec<u8>) -> String {
    bytes.into_iter().map(char::from).filter(|c| *c != '\0').collect()
}
