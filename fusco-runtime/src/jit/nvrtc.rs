//! One call of NVRTC: text in, cubin and log out.

use super::log::{KernelResources, resources};
use super::{Nvrtc, cache};
use crate::Error;
use cudarc::nvrtc::{result, sys};
use std::ffi::CString;

/// Machine code and what the assembler said of it.
#[derive(Clone, Debug)]
pub struct Cubin {
    pub bytes: Vec<u8>,
    pub log: String,
    /// One for each kernel, by name.
    pub resources: Vec<KernelResources>,
}

/// Compiles for `arch`, as `sm_90a`. `name` is for messages.
///
/// # Errors
/// F0911 if NVRTC is missing, or with its log: generated text that does not compile is a defect of fusco.
pub fn compile(source: &str, name: &str, arch: &str) -> Result<Cubin, Error> {
    with_program(source, name, &cache::options(arch), |program, log| {
        let bytes = image(program)?;
        Ok(Cubin { bytes, resources: resources(&log), log })
    })
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
    with_program(source, name, &options, |program, _| {
        // SAFETY: the program was compiled.
        let text = unsafe { result::get_ptx(program) };
        let text = text.map_err(|e| Error::Machine(format!("NVRTC gave no PTX: {e:?}")))?;
        Ok(text.into_iter().map(|c| c as u8 as char).filter(|c| *c != '\0').collect())
    })
}

/// A compiled program and its log, for as long as `f` runs.
fn with_program<T>(
    source: &str,
    name: &str,
    options: &[String],
    f: impl FnOnce(sys::nvrtcProgram, String) -> Result<T, Error>,
) -> Result<T, Error> {
    Nvrtc::find()?;
    let c =
        |text: &str| CString::new(text).map_err(|_| Error::Machine(format!("`{name}` has a NUL")));
    let program = result::create_program(&c(source)?, Some(&c(&format!("{name}.cu"))?))
        .map_err(|e| Error::Machine(format!("NVRTC: {e:?}")))?;
    // SAFETY: the program was created above and is destroyed below.
    let compiled = unsafe { result::compile_program(program, options) };
    let log = log_of(program);
    let out = match compiled {
        Ok(()) => f(program, log),
        Err(e) => Err(Error::Machine(format!("NVRTC refused `{name}.cu` ({e:?}):\n{log}"))),
    };
    // SAFETY: as above; not used afterwards.
    let _ = unsafe { result::destroy_program(program) };
    out
}

fn image(program: sys::nvrtcProgram) -> Result<Vec<u8>, Error> {
    let fail = |e: result::NvrtcError| Error::Machine(format!("NVRTC gave no cubin: {e:?}"));
    let mut bytes = 0;
    // SAFETY: the program was compiled; `bytes` is writable.
    unsafe { sys::nvrtcGetCUBINSize(program, &mut bytes) }.result().map_err(fail)?;
    let mut out = vec![0u8; bytes];
    // SAFETY: `out` has the size just asked for.
    unsafe { sys::nvrtcGetCUBIN(program, out.as_mut_ptr().cast()) }.result().map_err(fail)?;
    Ok(out)
}

fn log_of(program: sys::nvrtcProgram) -> String {
    // SAFETY: the program was compiled.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    log.into_iter().map(|c| c as u8 as char).filter(|c| *c != '\0').collect()
}
