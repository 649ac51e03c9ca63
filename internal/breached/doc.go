// Package breached knows which passwords are known from data breaches: by a filter file
// made of the lists of Have I Been Pwned, or by asking a server that has them.
//
// # The file
//
// Blocks of 4096 bytes, numbers big-endian. The first is the header:
//
//	0   16  "gatehouse-breach"
//	16  4   version: 1
//	20  4   bits of a value, 1 to 60
//	24  8   values in all blocks
//	32  8   blocks behind the header
//	40  8   how often a password was seen in breaches, at least, to be listed
//	48  8   when the lists were made, Unix seconds
//	60  4   CRC-32C of the bytes 0 to 59; all other bytes are 0
//
// A value is the first bits of the SHA-1 of a password's UTF-8, in rising order. Each
// block is read by itself:
//
//	0   4   CRC-32C of the rest of the block
//	4   8   its first value
//	12  2   values in it
//	14  1   k, 0 to 56
//	15  1   0
//	16      for each further value, the distance from the one before less 1, Rice coded:
//	        the distance >> k as that many ones and a zero, then its low k bits
//
// So a thousand million passwords take 2 GB, the list is made in one pass over sorted
// input with a block in memory, and a look-up finds its block by bisection. It is read by
// offset and not mapped: a mapped file that somebody cuts off ends the process, where a
// read is an error.
//
// # Threats
//
// A damaged file that silently lets everything pass (every block has a checksum, checked
// when the file is opened and at each look-up), an incomplete download (a directory that
// lacks ranges is refused), input that is no list (bounded lines, order checked), a build
// that was stopped (the file appears whole or not at all).
//
// A password that is on no list may be told to be on it, once in 16,384 or less often; one
// that is on the list is always found.
//
// A server that is asked learns five digits of a hash, which a thousand listed passwords
// share; it is reached through internal/egress.
//
// This package must never log a password or a hash of one.
package breached
