package journal

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// lookEvery is how often the writer looks whether its files still have their names.
const lookEvery = time.Second

// look begins a new segment if others have removed, replaced or cut the present one or its
// folder, because what is written there would be gone after a crash. It is called before a
// batch is written.
func (w *writer) look(now time.Time) {
	if now.Sub(w.looked) < w.every {
		return
	}
	w.looked = now
	dir := filepath.Dir(w.path)
	locked := isNamed(w.j.lock, filepath.Join(dir, "lock"))
	if locked && w.wal.Whole() {
		return
	}
	err := os.MkdirAll(w.path, 0o700)
	if err == nil && !locked {
		held, lockErr := lock(dir)
		if err = lockErr; err == nil {
			_ = w.j.lock.Close() // it is empty
			w.j.lock = held
		}
	}
	if err == nil {
		w.abandonCompaction()
		_, err = w.wal.Next()
	}
	if err == nil && w.told {
		w.told = false
		w.j.log.Info().Msg("journal: is in its place again")
		return
	}
	if w.told {
		return
	}
	w.told = err != nil
	w.j.log.Error().AnErr("error", err).Msg("journal: its files were removed, replaced or cut by others. After a crash the app does not hear of the end of connections that are open now; those that come are recorded again, unless there is an error")
}

// isNamed reports whether path is the name of an open file.
func isNamed(file *os.File, path string) bool {
	is, err := file.Stat()
	named, nameErr := os.Stat(path)
	return errors.Join(err, nameErr) == nil && os.SameFile(is, named)
}
