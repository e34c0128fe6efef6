#include "etd_onednn.h"

#if ETD_ONEDNN
#define _GNU_SOURCE
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout_t;
typedef const_dnnl_memory_desc_t queried_layout_t;
#else
typedef dnnl_memory_desc_t layout_t;
typedef const dnnl_memory_desc_t *queried_layout_t;
#endif

const char *etd_onednn_version(void) {
    static char text[32];
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
    return text;
}

int etd_onednn_multiplies_bf16(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    // AVX512-BF16 is leaf 7.1 EAX bit 5, AMX-BF16 leaf 7.0 EDX bit 22 (Intel SDM, CPUID). oneDNN knows
    // whether the system lets a process use them.
    int has = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
    int has_tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    if (!(has || has_tiles) || isa < dnnl_cpu_isa_avx512_core_bf16) return ETD_ONEDNN_NONE;
    return has_tiles && isa >= dnnl_cpu_isa_avx512_core_amx ? ETD_ONEDNN_AMX : ETD_ONEDNN_AVX512;
#else
    return ETD_ONEDNN_NONE;
#endif
}

// MARK: One thread

// libgomp comes with oneDNN. The team size is a setting of the calling thread; with one member no team
// is made, so no thread but the caller works or spins.
static void keep_to_one_thread(void) {
    static _Thread_local int kept;
    if (kept) return;
    void (*set_threads)(int);
    *(void **)&set_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    if (set_threads) set_threads(1);
    kept = 1;
}

// MARK: Products by shape

typedef struct {
    int type;
    size_t rows, left_stride, columns, right_stride, depth, out_stride;
} shape_t;

typedef struct product {
    shape_t shape;
    layout_t left, right, out;
    dnnl_primitive_t primitive;
    layout_t scratchpad;
    size_t scratchpad_bytes;
    struct product *next;
} product_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static dnnl_engine_t engine;
// By hash; those of equal hash are chained.
#define SLOTS 1024
static product_t *products[SLOTS];

static _Thread_local dnnl_stream_t stream;
static _Thread_local void *scratch;
static _Thread_local size_t scratch_bytes;

#define TRY(call)                               \
    do {                                        \
        dnnl_status_t status_ = (call);         \
        if (status_ != dnnl_success) return (int)status_; \
    } while (0)

static dnnl_status_t make_layout(layout_t *layout, dnnl_data_type_t type, dnnl_dim_t rows,
                                 dnnl_dim_t columns, dnnl_dim_t row_stride,
                                 dnnl_dim_t column_stride) {
    dnnl_dims_t sizes = {rows, columns}, strides = {row_stride, column_stride};
#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(layout, 2, sizes, type, strides);
#else
    return dnnl_memory_desc_init_by_strides(layout, 2, sizes, type, strides);
#endif
}

static int make_product(product_t *p, const shape_t *s) {
    dnnl_data_type_t type = s->type == ETD_ONEDNN_BF16 ? dnnl_bf16 : dnnl_f32;
    if (!engine) TRY(dnnl_engine_create(&engine, dnnl_cpu, 0));
    p->shape = *s;
    // The right side is stored [columns, depth]: as a [depth, columns] matrix it is column-major.
    TRY(make_layout(&p->left, type, s->rows, s->depth, s->left_stride, 1));
    TRY(make_layout(&p->right, type, s->depth, s->columns, 1, s->right_stride));
    TRY(make_layout(&p->out, dnnl_f32, s->rows, s->columns, s->out_stride, 1));
    dnnl_primitive_attr_t attributes;
    TRY(dnnl_primitive_attr_create(&attributes));
    // A scratchpad of the caller's makes one primitive usable from several threads.
    TRY(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
    dnnl_primitive_desc_t description;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_status_t status = dnnl_matmul_primitive_desc_create(&description, engine, p->left, p->right,
                                                             NULL, p->out, attributes);
#else
    dnnl_matmul_desc_t operation;
    dnnl_status_t status = dnnl_matmul_desc_init(&operation, &p->left, &p->right, NULL, &p->out);
    if (status == dnnl_success)
        status = dnnl_primitive_desc_create(&description, &operation, attributes, engine, NULL);
#endif
    dnnl_primitive_attr_destroy(attributes);
    TRY(status);
    queried_layout_t pad = dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
    p->scratchpad_bytes = pad ? dnnl_memory_desc_get_size(pad) : 0;
#if DNNL_VERSION_MAJOR >= 3
    if (p->scratchpad_bytes) TRY(dnnl_memory_desc_clone(&p->scratchpad, pad));
#else
    if (p->scratchpad_bytes) p->scratchpad = *pad;
#endif
    status = dnnl_primitive_create(&p->primitive, description);
    dnnl_primitive_desc_destroy(description);
    TRY(status);
    return 0;
}

// FNV-1a.
static size_t slot_of(const shape_t *shape) {
    const unsigned char *bytes = (const unsigned char *)shape;
    size_t hash = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *shape; i++) hash = (hash ^ bytes[i]) * 1099511628211u;
    return (hash ^ hash >> 32) % SLOTS;
}

// Products are kept for the life of the process: one for each shape of a run, which are few but for the
// numbers of rows, of which there are at most as many as a block has.
static int find_product(const shape_t *shape, product_t **found) {
    pthread_mutex_lock(&lock);
    product_t **slot = &products[slot_of(shape)];
    int status = 0;
    *found = *slot;
    while (*found && memcmp(&(*found)->shape, shape, sizeof *shape) != 0) *found = (*found)->next;
    if (!*found) {
        product_t *made = calloc(1, sizeof *made);
        status = made ? make_product(made, shape) : dnnl_out_of_memory;
        if (status == 0) {
            made->next = *slot;
            *slot = *found = made;
        } else {
            free(made);
        }
    }
    pthread_mutex_unlock(&lock);
    return status;
}

// MARK: Running one

#if DNNL_VERSION_MAJOR >= 3
#define LAYOUT(l) (l)
#else
#define LAYOUT(l) (&(l))
#endif

static int run(product_t *p, const void *left, const void *right, float *out) {
    if (!stream) TRY(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags));
    if (scratch_bytes < p->scratchpad_bytes) {
        free(scratch);
        scratch_bytes = 0;
        if (posix_memalign(&scratch, 4096, p->scratchpad_bytes)) return dnnl_out_of_memory;
        scratch_bytes = p->scratchpad_bytes;
    }
    dnnl_exec_arg_t arguments[4];
    int count = 0, status = 0;
    struct {
        int place;
        layout_t *layout;
        void *data;
    } sides[] = {{DNNL_ARG_SRC, &p->left, (void *)left},
                 {DNNL_ARG_WEIGHTS, &p->right, (void *)right},
                 {DNNL_ARG_DST, &p->out, out},
                 {DNNL_ARG_SCRATCHPAD, &p->scratchpad, scratch}};
    for (int i = 0; i < (p->scratchpad_bytes ? 4 : 3) && status == 0; i++) {
        dnnl_memory_t memory;
        status = dnnl_memory_create(&memory, LAYOUT(*sides[i].layout), engine, sides[i].data);
        if (status == 0) arguments[count++] = (dnnl_exec_arg_t){sides[i].place, memory};
    }
    if (status == 0) status = dnnl_primitive_execute(p->primitive, stream, count, arguments);
    if (status == 0) status = dnnl_stream_wait(stream);
    while (count > 0) dnnl_memory_destroy(arguments[--count].memory);
    return status;
}

int etd_onednn_multiply(int type, const void *left, size_t rows, size_t left_stride,
                        const void *right, size_t columns, size_t right_stride, size_t depth,
                        float *out, size_t out_stride) {
    if (!rows || !columns || !depth) return dnnl_invalid_arguments;
    keep_to_one_thread();
    shape_t shape;
    memset(&shape, 0, sizeof shape);
    shape.type = type;
    shape.rows = rows;
    shape.left_stride = left_stride;
    shape.columns = columns;
    shape.right_stride = right_stride;
    shape.depth = depth;
    shape.out_stride = out_stride;
    product_t *product;
    int status = find_product(&shape, &product);
    return status ? status : run(product, left, right, out);
}

#else

const char *etd_onednn_version(void) { return NULL; }

int etd_onednn_multiplies_bf16(void) { return ETD_ONEDNN_NONE; }

int etd_onednn_multiply(int type, const void *left, size_t rows, size_t left_stride,
                        const void *right, size_t columns, size_t right_stride, size_t depth,
                        float *out, size_t out_stride) {
    (void)type, (void)left, (void)rows, (void)left_stride, (void)right, (void)columns;
    (void)right_stride, (void)depth, (void)out, (void)out_stride;
    return -1;
}

#endif
