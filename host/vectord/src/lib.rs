//! The vector service: durable nearest-neighbour indexes.
