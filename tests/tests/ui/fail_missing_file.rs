use fusco_runtime::fusco;

fusco!("programs/none.fusco");

fn main() {}
