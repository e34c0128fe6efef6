// Mapped files, so that a page that is gone ends the process with a message and not with a signal.
//
// A file that is made shorter while it is mapped, or whose disk fails, raises SIGBUS at the next touch of
// a page that cannot be had. No error can be thrown from there: the fault is in the middle of whatever
// read the page, often within BLAS. The handler names the file on standard error and ends the process
// with exit code 1, as any other error does; what is being written stands under a temporary name then.
#ifndef ETD_MAPPINGS_H
#define ETD_MAPPINGS_H

#include <stddef.h>

// From now on a fault within `length` bytes from `start` is told as one of `path` (copied). The first
// call installs the handler; faults elsewhere go to the handler that was there before.
// Beyond 4,096 mappings at a time, further ones are not told by name.
void etd_mapping_add(const void *start, size_t length, const char *path);

// To be called before the mapping goes.
void etd_mapping_remove(const void *start);

// Renaming without replacing, which Swift's module of the C library does not show: gives the file at
// `from` the name `to` unless something has that name (-1 and EEXIST then), or -1 and EINVAL, ENOSYS or
// EOPNOTSUPP where the system or the file system cannot do it.
int etd_rename_new(const char *from, const char *to);

// Exchanges two names in one step, so that neither is ever missing: -1 and EINVAL, ENOSYS or EOPNOTSUPP
// where the system or the file system cannot do it.
int etd_rename_exchange(const char *one, const char *other);

#endif
