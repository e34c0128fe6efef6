#include "etd_mappings.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 4096 };

// A slot is in use when `start` is not 0, which is set last and cleared first: the handler may look at
// any time.
static struct {
    _Atomic(uintptr_t) start;
    size_t length;
    char *path;
} slots[SLOTS];

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;

static void put(const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        const ssize_t written = write(STDERR_FILENO, text, length);
        if (written <= 0) return;
        text += written;
        length -= (size_t)written;
    }
}

// Calls only what POSIX allows in a signal handler.
static void on_bus_error(int number, siginfo_t *info, void *context) {
    (void)context;
    const uintptr_t address = (uintptr_t)info->si_addr;
    for (size_t i = 0; i < SLOTS; i++) {
        const uintptr_t start = atomic_load(&slots[i].start);
        if (start == 0 || address < start || address - start >= slots[i].length) continue;
        put("Error: ");
        put(slots[i].path);
        put(": cannot read: the file became shorter, or its disk failed, while it was in use; check the "
            "file and run the command again\n");
        _exit(1);
    }
    // Not ours: the instruction faults again, with the handler that was there before.
    sigaction(number, &previous, NULL);
}

static void install(void) {
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &previous);
}

void etd_mapping_add(const void *start, size_t length, const char *path) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    char *copy = strdup(path);
    if (copy == NULL) return;
    pthread_mutex_lock(&changing);
    size_t i = 0;
    while (i < SLOTS && atomic_load(&slots[i].start) != 0) i++;
    if (i < SLOTS) {
        slots[i].length = length;
        slots[i].path = copy;
        atomic_store(&slots[i].start, (uintptr_t)start);
    }
    pthread_mutex_unlock(&changing);
    if (i == SLOTS) free(copy);
}

void etd_mapping_remove(const void *start) {
    pthread_mutex_lock(&changing);
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load(&slots[i].start) != (uintptr_t)start) continue;
        atomic_store(&slots[i].start, 0);
        free(slots[i].path);
        break;
    }
    pthread_mutex_unlock(&changing);
}
