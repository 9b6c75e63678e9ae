//! promdrop's `exposition`, from the same source, without all else that promdrop is made of. It is built twice: once as
//! it is, and once, as `twin`, with hashes of two bits, so that nearly all that is equal only by its hash meets. What
//! the twin finds must be the same, since no verdict may hang on a hash.

#[path = "../../src/diagnostic.rs"]
pub mod diagnostic;
#[path = "../../src/exposition/mod.rs"]
pub mod exposition;
