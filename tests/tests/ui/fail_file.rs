use fusco_runtime::fusco;

fusco!("wrong.fusco");

fn main() {}
