//go:build !unix

package testpg

func (s *Server) thaw() {}
