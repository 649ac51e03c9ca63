package examples_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/testnode"
)

// app is how one example is started. argv gets the port to listen on.
type app struct {
	dir  string
	argv func(port string) []string
	env  []string
}

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a on a free loopback port until the test ends, and returns its URL.
func start(t *testing.T, a app) string {
	t.Helper()
	for range 3 { // somebody else may take the port in between
		port := freePort(t)
		base := "http://127.0.0.1:" + port
		argv := a.argv(port)
		cmd := exec.Command(argv[0], argv[1:]...)
		out := &output{}
		cmd.Dir, cmd.Stdout, cmd.Stderr = a.dir, out, out
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "LC_ALL=C.UTF-8",
			"PYTHONDONTWRITEBYTECODE=1", "PORT=" + port}, a.env...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		if answers(base, ended) {
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-ended
				if t.Failed() {
					t.Logf("%v wrote:\n%s", argv, out)
				}
			})
			return base
		}
		_ = cmd.Process.Kill()
		<-ended
		t.Logf("%v did not start:\n%s", argv, out)
	}
	t.Fatal("the example does not start")
	return ""
}

// answers waits until base serves /public.
func answers(base string, ended <-chan struct{}) bool {
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-deadline.C:
			return false
		case <-tick.C:
		}
		if resp, err := httpClient.Get(base + "/public"); err == nil {
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotFound // one without such a page
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// python finds an interpreter that has the modules. Debian's own comes first: a
// second one in PATH does not see Debian's packages.
func python(t *testing.T, modules string) string {
	t.Helper()
	var why string
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			why += err.Error() + "\n"
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		out, err := exec.CommandContext(ctx, path, "-c", "import "+modules).CombinedOutput()
		cancel()
		if err == nil {
			return path
		}
		why += string(out)
	}
	missing(t, "python3 with "+modules+"\n"+why)
	return ""
}

func fastAPI(t *testing.T, module string, env ...string) app {
	py := python(t, "fastapi, uvicorn, jwcrypto, httpx")
	return app{"fastapi", func(port string) []string {
		return []string{py, "-m", "uvicorn", module + ":app", "--host", "127.0.0.1", "--port", port, "--log-level", "warning"}
	}, env}
}

func flask(t *testing.T, module string, env ...string) app {
	py := python(t, "flask, flask_httpauth, jwt, cryptography, httpx")
	return app{"flask", func(port string) []string {
		return []string{py, "-m", "flask", "--app", module, "run", "--host", "127.0.0.1", "--port", port}
	}, env}
}

func express(t *testing.T, env ...string) app {
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node")
	}
	return app{nodeProgram(t, "express", "server.js"), func(string) []string { return []string{node, "server.js"} }, env}
}

// nodeProgram is a copy of an example's files in a directory that has its packages.
func nodeProgram(t *testing.T, example string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(testnode.Modules(t, "examples/"+example), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "package.json") {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		copyFile(t, filepath.Join(example, name), filepath.Join(dir, name))
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

func goGuard(t *testing.T, args ...string) app {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "go-guard")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./go-guard").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return app{".", func(port string) []string { return append([]string{bin, "-listen", "127.0.0.1:" + port}, args...) }, nil}
}
