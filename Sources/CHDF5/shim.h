// HDF5's C interface, and as functions what it gives as macros that Swift cannot import.
#ifndef ETD_CHDF5_SHIM_H
#define ETD_CHDF5_SHIM_H

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Turns off the library's work at exit, which tries to flush files that could not be written and has
// been seen not to end, and its file locks, by the one setting that also holds for the parts of a
// virtual file. To be called before everything else.
static inline void etd_h5_start(void) {
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    H5dont_atexit();
    H5open();
}

// Turns off the printing of errors, which each thread has for itself.
static inline void etd_h5_silence(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

// MARK: Types

static inline hid_t etd_h5_native_float(void) { return H5T_NATIVE_FLOAT; }
static inline hid_t etd_h5_native_double(void) { return H5T_NATIVE_DOUBLE; }
static inline hid_t etd_h5_native_int32(void) { return H5T_NATIVE_INT32; }
static inline hid_t etd_h5_native_int64(void) { return H5T_NATIVE_INT64; }
static inline hid_t etd_h5_native_uint16(void) { return H5T_NATIVE_UINT16; }
static inline hid_t etd_h5_f32(void) { return H5T_IEEE_F32LE; }
static inline hid_t etd_h5_f64(void) { return H5T_IEEE_F64LE; }
static inline hid_t etd_h5_i32(void) { return H5T_STD_I32LE; }
static inline hid_t etd_h5_i64(void) { return H5T_STD_I64LE; }
static inline hid_t etd_h5_u16(void) { return H5T_STD_U16LE; }

// IEEE half precision, which this library version has no name for. To be closed.
static inline hid_t etd_h5_copy_f16(void) {
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    if (type < 0) return type;
    if (H5Tset_fields(type, 15, 10, 5, 0, 10) < 0 || H5Tset_size(type, 2) < 0 ||
        H5Tset_ebias(type, 15) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

// A UTF-8 string of `size` bytes, padded with zeros, or of any length for size 0. To be closed.
static inline hid_t etd_h5_copy_string(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, size ? size : H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
        H5Tset_strpad(type, size ? H5T_STR_NULLPAD : H5T_STR_NULLTERM) < 0) {
        H5Tclose(type);
        return -1;
    }
    return type;
}

// MARK: Property lists and constants

static inline hid_t etd_h5_file_creation(void) { return H5Pcreate(H5P_FILE_CREATE); }
static inline hid_t etd_h5_file_access(void) { return H5Pcreate(H5P_FILE_ACCESS); }
static inline hid_t etd_h5_group_creation(void) { return H5Pcreate(H5P_GROUP_CREATE); }
static inline hid_t etd_h5_dataset_creation(void) { return H5Pcreate(H5P_DATASET_CREATE); }
static inline hid_t etd_h5_dataset_access(void) { return H5Pcreate(H5P_DATASET_ACCESS); }

static inline hid_t etd_h5_default(void) { return H5P_DEFAULT; }
static inline hid_t etd_h5_all(void) { return H5S_ALL; }
static inline hsize_t etd_h5_unlimited(void) { return H5S_UNLIMITED; }

static inline hid_t etd_h5_create_file(const char *path, hid_t creation, hid_t access) {
    return H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
}
static inline hid_t etd_h5_open_file(const char *path, hid_t access) {
    return H5Fopen(path, H5F_ACC_RDONLY, access);
}

// MARK: Links

// Whether the object of this name stands in the file itself: 0 for links by name, into this file or
// another one. Negative on failure.
static inline int etd_h5_is_hard_link(hid_t group, const char *name) {
    H5L_info_t info;
    if (H5Lget_info(group, name, &info, H5P_DEFAULT) < 0) return -1;
    return info.type == H5L_TYPE_HARD;
}

// MARK: Chunks as they are stored

static inline herr_t etd_h5_read_chunk(hid_t set, const hsize_t *offset, uint32_t *filters,
                                       void *bytes) {
    return H5Dread_chunk(set, H5P_DEFAULT, offset, filters, bytes);
}
static inline herr_t etd_h5_write_chunk(hid_t set, const hsize_t *offset, uint32_t filters,
                                        size_t size, const void *bytes) {
    return H5Dwrite_chunk(set, H5P_DEFAULT, filters, offset, size, bytes);
}
static inline herr_t etd_h5_free_strings(hid_t type, hid_t space, void *strings) {
    return H5Dvlen_reclaim(type, space, H5P_DEFAULT, strings);
}

// MARK: Errors

typedef struct {
    char *out;
    size_t size;
} etd_h5_message_t;

static inline herr_t etd_h5_take_message(unsigned n, const H5E_error2_t *record, void *data) {
    etd_h5_message_t *message = (etd_h5_message_t *)data;
    if (n == 0 && record->desc) snprintf(message->out, message->size, "%s", record->desc);
    return 0;
}

// The library's words for the cause of this thread's last failure: where it began, deep inside. Empty
// if there is none.
static inline void etd_h5_last_error(char *out, size_t size) {
    etd_h5_message_t message = {out, size};
    out[0] = 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, etd_h5_take_message, &message);
    H5Eclear2(H5E_DEFAULT);
}

#endif
