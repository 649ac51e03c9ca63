//go:build unix

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-auth/gatehouse/server/config"
)

// TestThreeNodesFiles parses what deploy/three-nodes has for systemd, Docker and the
// nodes, and sees that they agree with each other. faults' TestThreeNodes runs the rest.
func TestThreeNodesFiles(t *testing.T) {
	t.Parallel()
	const dir = "../deploy/three-nodes"
	text := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cfg, err := config.Parse([]byte(text("gatehouse.yaml")), []string{"GATEHOUSE_STORE_DSN=postgres://gatehouse@10.0.0.21,10.0.0.22/gatehouse"})
	if err != nil {
		t.Fatal(err)
	}
	leaving := cfg.Shutdown.Delay + cfg.Shutdown.Grace + 10*time.Second

	// HAProxy notices a node that stops before it takes no more connections, also when a check is too slow.
	proxy := text("haproxy.cfg")
	every, slow := lasts(t, proxy, `inter (\S+) fall 2 rise 2`), lasts(t, proxy, `timeout check (\S+)`)
	if notices := 3 * every; notices+slow > cfg.Shutdown.Delay {
		t.Errorf("HAProxy notices after %v and %v, the node goes on for %v", notices, slow, cfg.Shutdown.Delay)
	}

	t.Run("systemd", func(t *testing.T) {
		const file = "gatehouse.service.d/three-nodes.conf"
		if stop := lasts(t, text(file), `TimeoutStopSec=(\d+)`); stop < leaving {
			t.Errorf("systemd kills after %v, before %v", stop, leaving)
		}
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			if os.Getenv("GATEHOUSE_TEST_STRICT") != "" {
				t.Fatal("systemd-analyze is missing")
			}
			t.Skip("systemd-analyze is missing; make test installs it")
		}
		unit, err := os.ReadFile("../deploy/systemd/gatehouse.service")
		if err != nil {
			t.Fatal(err)
		}
		sh := newShell(t)
		verify := func(dropIn string) string {
			own := t.TempDir()
			if err := os.Mkdir(filepath.Join(own, "gatehouse.service.d"), 0o700); err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string]string{"gatehouse.service": strings.ReplaceAll(string(unit), "/usr/bin/gatehouse", sh.program), file: dropIn} {
				if err := os.WriteFile(filepath.Join(own, name), []byte(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", filepath.Join(own, "gatehouse.service")).CombinedOutput()
			if err != nil {
				return err.Error() + "\n" + string(out)
			}
			return string(out)
		}
		if said := verify(text(file)); said != "" {
			t.Errorf("systemd-analyze verify: %s", said)
		}
		if said := verify(text(file) + "\nTimeoutStop=1\n"); !strings.Contains(said, "TimeoutStop") {
			t.Errorf("the file beside the unit is not read: %q", said)
		}
	})

	t.Run("compose", func(t *testing.T) {
		var compose struct {
			Secrets  map[string]any
			Volumes  map[string]any
			Networks map[string]any
			Services map[string]struct {
				Image           string
				Volumes         []string
				Secrets         []any
				StopGracePeriod string `yaml:"stop_grace_period"`
				Environment     map[string]string
				Networks        map[string]struct {
					Address string `yaml:"ipv4_address"`
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text("compose.yaml")), &compose); err != nil {
			t.Fatal(err)
		}
		if len(compose.Services) != 6 || len(compose.Networks) != 1 {
			t.Fatalf("%d services, %d networks", len(compose.Services), len(compose.Networks))
		}
		everything := proxy + text("README.md") + text("postgresql/standby-start.sh")
		for name, s := range compose.Services {
			if s.Image == "" || len(s.Networks) != 1 {
				t.Errorf("%s has image %q and %d networks", name, s.Image, len(s.Networks))
			}
			for _, n := range s.Networks {
				if !strings.Contains(everything, n.Address) {
					t.Errorf("nobody goes to %s at %s", name, n.Address)
				}
			}
			for _, v := range s.Volumes {
				from, _, _ := strings.Cut(v, ":")
				if strings.HasPrefix(from, ".") {
					if _, err := os.Stat(filepath.Join(dir, from)); err != nil {
						t.Errorf("%s mounts what is not there: %v", name, err)
					}
				} else if _, ok := compose.Volumes[from]; !ok {
					t.Errorf("%s mounts %s", name, v)
				}
			}
			for _, secret := range s.Secrets {
				if m, ok := secret.(map[string]any); ok {
					secret = m["source"]
				}
				if _, ok := compose.Secrets[secret.(string)]; !ok {
					t.Errorf("%s has a secret %v", name, secret)
				}
			}
			if !strings.HasPrefix(name, "gw") {
				continue
			}
			if stop, err := time.ParseDuration(s.StopGracePeriod); err != nil || stop < leaving {
				t.Errorf("Docker kills %s after %q, before %v", name, s.StopGracePeriod, leaving)
			}
			environ := []string{"GATEHOUSE_STORE_DSN=postgres://x@y/z"}
			for key, value := range s.Environment {
				if key != "GATEHOUSE_STORE_DSN_FILE" {
					environ = append(environ, key+"="+value)
				}
			}
			if c, err := config.Parse([]byte(text("gatehouse.yaml")), environ); err != nil || c.Data != "/data" || c.MasterKeyFile != "/run/secrets/master.key" {
				t.Errorf("%s: data in %q, master key in %q: %v", name, c.Data, c.MasterKeyFile, err)
			}
		}
	})

	scripts, err := filepath.Glob(dir + "/postgresql/*.sh")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("%q, %v", scripts, err)
	}
	for _, script := range scripts {
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// lasts finds a time in a file; a number alone is one of seconds.
func lasts(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)^[^#\n]*` + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s", pattern)
	}
	value := m[1]
	if regexp.MustCompile(`^\d+$`).MatchString(value) {
		value += "s"
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
