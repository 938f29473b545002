//! What `ptxas -v` says, as numbers.

/// What a kernel needs of a multiprocessor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelResources {
    /// Its symbol.
    pub name: String,
    /// Of each thread.
    pub registers: u32,
    /// Bytes of each thread.
    pub stack: u32,
    /// Bytes that a thread writes for want of registers.
    pub spill_stores: u32,
    /// Bytes that a thread reads back.
    pub spill_loads: u32,
    /// Static shared memory, bytes.
    pub shared: u32,
}

/// Reads the log; kernels in order of their names.
pub fn resources(log: &str) -> Vec<KernelResources> {
    let mut out: Vec<KernelResources> = Vec::new();
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let name = rest.split('\'').next().unwrap_or_default().to_string();
            out.push(KernelResources { name, ..KernelResources::default() });
        }
        let Some(kernel) = out.last_mut() else { continue };
        let set = |field: &mut u32, unit: &str| {
            if let Some(value) = number_before(line, unit) {
                *field = value;
            }
        };
        set(&mut kernel.stack, " bytes stack frame");
        set(&mut kernel.spill_stores, " bytes spill stores");
        set(&mut kernel.spill_loads, " bytes spill loads");
        set(&mut kernel.registers, " registers");
        set(&mut kernel.shared, " bytes smem");
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

fn number_before(line: &str, unit: &str) -> Option<u32> {
    let before = &line[..line.find(unit)?];
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
