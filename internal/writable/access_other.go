//go:build !unix

package writable

const write, search = 0, 0

// access leaves it to the writing to find out.
func access(string, uint32) error { return nil }
