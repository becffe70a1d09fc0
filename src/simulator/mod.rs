//! A stand-in for ICAv2.
