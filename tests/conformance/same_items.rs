//! same_items
