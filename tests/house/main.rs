//! What holds of the tree itself, of the binary as a shell sees it, and of what is read from outside: tests
//! that start no server and need no clock.

mod architecture;
mod catalogue;
mod circles;
mod cli;
mod docs;
mod events;
mod floods;
mod fuzz_corpus;
mod logs;
mod mutants;
mod orphans;
mod release;
