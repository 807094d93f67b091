package exposure

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ws-gateway/cmd/ws-gateway/internal/finding"
)

// File is a file or a folder that only the gateway's user should be able to read.
type File struct {
	Option string // that names it
	Path   string
	Holds  string // what is in it
}

// JudgeFiles looks at the modes of files. It returns a finding for each that other users
// can read or change, or one for all if there is none. Files that do not exist are not
// judged.
func JudgeFiles(files []File) []finding.Finding {
	const name = "security: files"
	var found []finding.Finding
	for _, f := range files {
		if what := f.open(); what != "" {
			found = append(found, finding.New(name, finding.Warn, fmt.Sprintf("%s of --%s holds %s, and %s", f.Path, f.Option, f.Holds, what), "chmod o-rwx "+f.Path))
		}
		if folder := filepath.Dir(f.Path); othersMay(folder, 0o002) {
			found = append(found, finding.New(name, finding.Warn, fmt.Sprintf("other users may put a file in the place of %s of --%s: its folder is theirs to write", f.Path, f.Option), "choose a folder of the gateway's own, or chmod o-w "+folder))
		}
	}
	if len(files) > 0 && len(found) == 0 {
		return []finding.Finding{finding.New(name, finding.OK, "no other user can read what is secret", "")}
	}
	return found
}

// open says what other users may do with a file; "" for nothing.
func (f *File) open() string {
	switch {
	case othersMay(f.Path, 0o006):
		return "other users may read and change it"
	case othersMay(f.Path, 0o002):
		return "other users may change it"
	case othersMay(f.Path, 0o004):
		return "other users may read it"
	}
	return ""
}

// othersMay reports whether users who are neither the owner nor in the group have all
// these rights. A sticky folder gives nobody the right to replace files of others.
func othersMay(path string, rights fs.FileMode) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() && rights == 0o002 && info.Mode()&fs.ModeSticky != 0 {
		return false
	}
	return info.Mode().Perm()&rights == rights
}
