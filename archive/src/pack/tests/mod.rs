//! Packs: what goes in comes out, whatever happens to the bytes meanwhile.

mod broken;
mod damage;
mod deposits;
mod format;
mod hostile;
mod model;
mod sharing;
mod succession;
mod world;
