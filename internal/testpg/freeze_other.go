//go:build !unix

package testpg

// Thaw has nothing to do where nothing can be frozen.
func (s *Server) Thaw() {}
