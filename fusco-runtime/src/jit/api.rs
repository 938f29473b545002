//! The functions of NVRTC that are called, each looked up before any is: a library without one of them is
//! refused, not called. Statuses are numbers, since newer libraries have more of them than we know.

use libloading::os::unix::Library;
use std::ffi::{c_char, c_int, c_void};

/// A program of NVRTC.
pub(super) type Program = *mut c_void;

macro_rules! functions {
    ($($field:ident: $symbol:literal ($($arg:ty),*);)*) => {
        /// The functions of one loaded library, which is never unloaded.
        #[derive(Debug)]
        pub(super) struct Api {
            $(pub $field: unsafe extern "C" fn($($arg),*) -> c_int,)*
        }

        impl Api {
            /// `Err` is the name of a function that the library lacks.
            pub(super) fn of(library: Library) -> Result<Api, &'static str> {
                let api = Api {
                    $($field: {
                        let name = concat!($symbol, "\0").as_bytes();
                        // SAFETY: NVRTC declares the function so since 11.2.
                        let found = unsafe {
                            library.get::<unsafe extern "C" fn($($arg),*) -> c_int>(name)
                        };
                        *found.map_err(|_| $symbol)?
                    },)*
                };
                // The pointers stay valid.
                std::mem::forget(library);
                Ok(api)
            }
        }
    };
}

functions! {
    version: "nvrtcVersion" (*mut c_int, *mut c_int);
    create: "nvrtcCreateProgram"
        (*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
    destroy: "nvrtcDestroyProgram" (*mut Program);
    compile: "nvrtcCompileProgram" (Program, c_int, *const *const c_char);
    log_size: "nvrtcGetProgramLogSize" (Program, *mut usize);
    log: "nvrtcGetProgramLog" (Program, *mut c_char);
    cubin_size: "nvrtcGetCUBINSize" (Program, *mut usize);
    cubin: "nvrtcGetCUBIN" (Program, *mut c_char);
    ptx_size: "nvrtcGetPTXSize" (Program, *mut usize);
    ptx: "nvrtcGetPTX" (Program, *mut c_char);
}

/// A status as `nvrtc.h` names it.
pub(super) fn name(status: c_int) -> String {
    let known = [
        "SUCCESS",
        "ERROR_OUT_OF_MEMORY",
        "ERROR_PROGRAM_CREATION_FAILURE",
        "ERROR_INVALID_INPUT",
        "ERROR_INVALID_PROGRAM",
        "ERROR_INVALID_OPTION",
        "ERROR_COMPILATION",
        "ERROR_BUILTIN_OPERATION_FAILURE",
    ];
    match usize::try_from(status).ok().and_then(|s| known.get(s)) {
        Some(known) => format!("NVRTC_{known}"),
        None => format!("status {status}"),
    }
}
