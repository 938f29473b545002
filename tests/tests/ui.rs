//! `fusco!` in Rust programs: what compiles, and where errors land.

#[test]
fn errors_land_on_their_tokens() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass_*.rs");
    cases.compile_fail("tests/ui/fail_*.rs");
}
