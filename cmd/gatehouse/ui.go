package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-auth/gatehouse/pages"
)

func (a *app) uiCommand() *cobra.Command {
	c := &cobra.Command{Use: "ui", Short: "The pages that people see"}
	c.AddCommand(a.galleryCommand())
	return c
}

func (a *app) galleryCommand() *cobra.Command {
	var listen string
	c := &cobra.Command{
		Use:   "gallery",
		Short: "Show every page in every state, with made-up people",
		Long: `Serves every page in every state on this machine, with made-up people: nothing is stored, and nobody is asked for anything.
It runs until Ctrl-C.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
				_ = l.Close()
				return usagef("--listen %s: pages of people who do not exist are shown on this machine alone, such as 127.0.0.1:8090", listen)
			}
			h, err := pages.NewGallery()
			if err != nil {
				return err
			}
			s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
			go func() {
				<-c.Context().Done()
				_ = s.Close()
			}()
			url := "http://" + l.Addr().String()
			if err := a.print(object{"url": url}, func(w io.Writer) { fmt.Fprintf(w, "Open %s in a browser. Stop with Ctrl-C.\n", url) }); err != nil {
				return err
			}
			_ = s.Serve(l) // until it is told to stop
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8090", "address, of this machine")
	return c
}
