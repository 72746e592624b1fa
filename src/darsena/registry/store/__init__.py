"""All SQL of the data plane, one module per table family. Functions take `tx` first and never commit."""
