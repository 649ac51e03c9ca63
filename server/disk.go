package server

import (
	"context"
	"path/filepath"
	"strconv"

	"github.com/gatehouse-auth/gatehouse"
	"github.com/gatehouse-auth/gatehouse/audit"
	"github.com/gatehouse-auth/gatehouse/internal/diskspace"
	"github.com/gatehouse-auth/gatehouse/internal/staleness"
)

// noteDiskLow is the note of /readyz while a disk has little room.
const noteDiskLow = "disk_low"

// wireDisk watches the disks that this process writes to. PostgreSQL's own is watched
// where PostgreSQL is.
func (s *Server) wireDisk(context.Context) error {
	dirs := []diskspace.Directory{{Name: "data", Path: s.cfg.Data}}
	if s.cfg.Audit.File != "" {
		if dir := filepath.Dir(s.cfg.Audit.File); !diskspace.Same(dir, s.cfg.Data) {
			dirs = append(dirs, diskspace.Directory{Name: "audit", Path: dir})
		}
	}
	s.disk = &diskspace.Watch{Directories: dirs, Bytes: uint64(max(s.cfg.Disk.WarnBytes, 0)), Percent: s.cfg.Disk.WarnPercent,
		Interval: s.cfg.Disk.Interval, Changed: s.diskChanged,
		Failed: func(d diskspace.Directory, err error) {
			s.log.Warn("the free space of a directory is not known; nobody is warned before it is full", "directory", d.Path, "error", err)
		}}
	for _, d := range dirs {
		s.metrics.WatchDisk(d.Name, func() (uint64, bool) {
			space, known := s.disk.Last(d.Name)
			return space.Free, known
		})
	}
	s.jobs = append(s.jobs, job{name: "disk space", run: s.disk.Run})
	return nil
}

// diskChanged tells the operator's log and the record that a disk has little room, or
// enough again.
func (s *Server) diskChanged(d diskspace.Directory, space diskspace.Space, low bool) {
	e := &gatehouse.Event{Realm: gatehouse.MainRealm, Kind: audit.KindDiskSpace, Outcome: gatehouse.OutcomeSuccess,
		Target: gatehouse.Target{Type: "directory", ID: d.Name},
		Detail: map[string]string{"free": strconv.FormatUint(space.Free, 10), "total": strconv.FormatUint(space.Total, 10)}}
	if low {
		e.Outcome, e.Reason = gatehouse.OutcomeError, noteDiskLow
		s.log.Warn("little room is left on the disk; when it is full, nothing can be changed or recorded",
			"directory", d.Path, "free_bytes", space.Free, "total_bytes", space.Total)
	} else {
		s.log.Info("there is enough room on the disk again", "directory", d.Path, "free_bytes", space.Free)
	}
	s.record.Record(e)
}

// notes are the notes of /readyz.
func (s *Server) notes() (out []string) {
	if s.disk.Low() {
		out = append(out, noteDiskLow)
	}
	if s.clock.Offset().Abs() > staleness.ClockOff {
		out = append(out, noteClock)
	}
	if s.reloaded.pending.Load() > 0 {
		out = append(out, noteRestart)
	}
	if s.limitsAway() {
		out = append(out, noteLimits)
	}
	return out
}

// recordable is the readiness of the record: where nothing may pass unrecorded, a node
// that cannot store what it records will soon refuse everything.
func (s *Server) recordable(context.Context) error {
	if audit.Overflow(s.live.Load().cfg.Audit.Overflow) == audit.OverflowDrop {
		return nil
	}
	return s.recorder.Failing()
}
