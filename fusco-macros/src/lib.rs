//! `fusco!`
