//! stick
