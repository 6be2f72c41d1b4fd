package store

// Queue is how accepted mail is kept.
type Queue struct {
	EachFile bool `label:"Sync each message by itself"` // else all that wait share a sync of the file system
}
