package archive

import (
	"fmt"
	"os"
	"path/filepath"

	"esa/mta/durable"
)

// putInto writes a file into a directory, which must be there: a disk that is
// not mounted is no reason to write somewhere else. After a crash the file is
// there whole, or not.
func putInto(dir string, f File) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return durable.Replace(filepath.Join(dir, f.Name), f.Data)
}
