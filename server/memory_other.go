//go:build !linux

package server

// releaseProgramFile is known for Linux only.
func releaseProgramFile() error { return nil }
