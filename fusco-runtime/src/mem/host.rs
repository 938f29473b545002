//! Host allocations: zero pages that the system gives lazily, aligned for any vector access.

use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Bytes that every allocation of a world is aligned to.
const ALIGN: usize = crate::driver::ALIGN as usize;

/// Allocations of at least this many bytes ask for pages of this size, and begin with one.
const LARGE_PAGE: usize = 2 << 20;

/// `bytes` zeroed bytes. Reached through raw pointers; through a reference only while nothing writes them.
pub(crate) struct HostMemory {
    /// As the system gave it; the allocator zeroes pages lazily only at its own alignment.
    base: *mut u8,
    start: *mut u8,
    bytes: usize,
}

// SAFETY: the allocation is plain bytes reached through raw pointers. Between launches and calls of the user,
// leases decide who may touch it when; between the ranks of one launch, the schedule's signals do.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// `None` if the system refuses.
    pub(crate) fn zeroed(bytes: usize) -> Option<HostMemory> {
        let layout = layout(bytes)?;
        // SAFETY: the layout's size is not zero.
        let base = unsafe { alloc_zeroed(layout) };
        if base.is_null() {
            return None;
        }
        let skip = base.addr().next_multiple_of(align(bytes)) - base.addr();
        // SAFETY: the layout has `align` bytes more than are used.
        let start = unsafe { base.add(skip) };
        large_pages(start, bytes);
        Some(HostMemory { base, start, bytes })
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Copies `out.len()` bytes from `offset`; the caller has checked the range.
    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) {
        assert!(offset + out.len() <= self.bytes);
        // SAFETY: in range by the assertion; `out` is ours alone.
        unsafe {
            std::ptr::copy_nonoverlapping(self.start.add(offset), out.as_mut_ptr(), out.len())
        }
    }

    /// `len` bytes from `offset`; the caller has checked the range.
    ///
    /// # Safety
    /// Nothing writes them for as long as they are borrowed.
    pub(crate) unsafe fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset + len <= self.bytes);
        // SAFETY: in range by the assertion, zeroed at first, and by the caller's word not written.
        unsafe { std::slice::from_raw_parts(self.start.add(offset), len) }
    }

    /// Copies `bytes` to `offset`; the caller has checked the range.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.bytes);
        // SAFETY: in range by the assertion; `bytes` is not part of the allocation, as what is lent of it is not
        // written meanwhile.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.add(offset), bytes.len())
        }
    }
}

impl HostMemory {
    /// Copies `len` bytes at `first` of `other` to the same place here. Both ranges must exist.
    pub(crate) fn take(&self, other: &HostMemory, first: usize, len: usize) {
        assert!(first + len <= self.bytes && first + len <= other.bytes);
        // SAFETY: in range by the assertion; `copy` allows that both are one allocation.
        unsafe { std::ptr::copy(other.start.add(first), self.start.add(first), len) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.bytes) {
            // SAFETY: allocated by `zeroed` with this layout.
            unsafe { dealloc(self.base, layout) }
        }
    }
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(align(bytes))?, 16).ok()
}

fn align(bytes: usize) -> usize {
    if bytes < LARGE_PAGE { ALIGN } else { LARGE_PAGE }
}

/// Rows at random places then cost no walk through page tables, and first touches a fraction of the faults.
fn large_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= LARGE_PAGE {
        // SAFETY: whole pages of an allocation that nobody else uses; the advice changes no content.
        // A system that does not take it leaves small pages.
        let _ = unsafe {
            libc::madvise(start.cast(), bytes / LARGE_PAGE * LARGE_PAGE, libc::MADV_HUGEPAGE)
        };
    }
    let _ = (start, bytes);
}
