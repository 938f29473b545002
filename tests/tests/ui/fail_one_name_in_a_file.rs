use fusco_runtime::fusco;

fusco!("one_name.fusco");

fn main() {}
