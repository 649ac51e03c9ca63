package testpg

import (
	"fmt"
	"os"
	"path/filepath"
)

// Settings are how a server is configured that does not listen on its socket alone.
type Settings struct {
	Port int
	Conf string // goes behind postgresql.conf
	HBA  string // who may come by network; by the socket everybody may
}

// StartWith is [Start] with settings.
func StartWith(set Settings) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	if err = s.initialize(); err == nil {
		err = s.configure(set)
	}
	return s.begin(err)
}

// Follow makes a standby of the server that origin leads to, which has its password
// there, and starts it.
func Follow(origin, password string, set Settings) (*Server, error) {
	s, err := prepare()
	if err != nil {
		return nil, err
	}
	if err = s.program([]string{"PGPASSWORD=" + password}, "pg_basebackup", "-d", origin, "-D", s.data(), "-X", "stream", "-R", "-c", "fast", "--no-sync"); err == nil {
		err = s.configure(set)
	}
	return s.begin(err)
}

func (s *Server) configure(set Settings) error {
	s.own, s.port = true, set.Port
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(f, "\nport = %d\n%s", set.Port, set.Conf); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	hba := "local all all trust\nlocal replication all trust\n" + set.HBA
	return os.WriteFile(filepath.Join(s.data(), "pg_hba.conf"), []byte(hba), 0o644) // of the server's user, who may not be ours
}

// Promote makes a standby a primary.
func (s *Server) Promote() error { return s.admin(`SELECT pg_promote()`) }

// Local is how a superuser connects to a database by the socket.
func (s *Server) Local(database string) string { return s.dsn(database) }
