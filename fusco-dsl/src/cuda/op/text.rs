//! What the parts of a ring's text are about.

use super::dealt::Dealt;
use crate::kernel::shape::Nest;
use crate::kernel::{DeviceKernel, Ring};

pub(super) struct Text<'a> {
    pub nest: &'a Nest<'a>,
    pub ring: &'a Ring,
    pub dealt: Dealt<'a>,
    pub kernel: &'a DeviceKernel,
}
