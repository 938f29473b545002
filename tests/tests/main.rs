//! Whole programs, through the public interface only: graphs against the oracle, a consumer's own kernel,
//! and what a wrong `fusco!` says.

mod adjoint;
mod anywhere;
mod consumer;
mod emulated;
mod graph;
mod hops;
mod indices;
mod owners;
mod placements;
mod plan_numbers;
mod routed_values;
mod routes;
mod rows;
mod ui;
mod values;
