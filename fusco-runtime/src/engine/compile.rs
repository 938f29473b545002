//! CUDA text to a cubin.

use super::Error;
use cudarc::nvrtc::{result, sys};
use std::ffi::CString;

/// Compiles for `arch`, as `sm_90a`. `name` is for messages.
///
/// # Errors
/// F0911 if NVRTC is not there, or with its log: generated text that does not compile is a defect of fusco.
pub fn cubin(source: &str, name: &str, arch: &str) -> Result<Vec<u8>, Error> {
    // SAFETY: only looks for the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::Machine("no NVRTC: run `fuscoc doctor --fetch`".to_string()));
    }
    let text = CString::new(source)
        .map_err(|_| Error::Machine("the generated text has a NUL".to_string()))?;
    let file = CString::new(format!("{name}.cu"))
        .map_err(|_| Error::Machine("the program's name has a NUL".to_string()))?;
    let program = result::create_program(&text, Some(&file))
        .map_err(|e| Error::Machine(format!("NVRTC: {e:?}")))?;
    let options =
        [format!("--gpu-architecture={arch}"), "--std=c++17".into(), "-default-device".into()];
    // SAFETY: the program was created above and is destroyed below.
    let compiled = unsafe { result::compile_program(program, &options) };
    let out = match compiled {
        Ok(()) => image(program),
        Err(e) => {
            Err(Error::Machine(format!("NVRTC refused `{name}.cu` ({e:?}):\n{}", log(program))))
        }
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

fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: the program was compiled.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    log.into_iter().map(|c| c as u8 as char).filter(|c| *c != '\0').collect()
}
