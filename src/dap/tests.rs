//! The client against a service in memory, on a paused clock: what it calls, and what it makes of answers.

mod calls;
mod files;
mod login;
mod places;
mod secrets;
mod world;
