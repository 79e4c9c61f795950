/* SPDX-License-Identifier: MIT
 * file_bytes.c - see file_bytes.h */
#include "file_bytes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sha256.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_MAX (SIZE_MAX > UINT32_MAX ? (size_t)4 << 30 : (size_t)1 << 30)

enum { ROOM_AT_FIRST = 1 << 16 };

static bool bytes_reserve(struct file_bytes *file, size_t more) {
    if (file->room - file->count > more) {
        return true;
    }
    if (more > BYTES_MAX || file->count + more > BYTES_MAX) {
        return false;
    }
    size_t room = file->room < ROOM_AT_FIRST ? ROOM_AT_FIRST : file->room * 2;
    room = room > file->count + more ? room : file->count + more + 1;
    unsigned char *bigger = realloc(file->bytes, room);
    if (bigger == NULL) {
        return false;
    }
    file->bytes = bigger;
    file->room = room;
    return true;
}

bool file_bytes_append(struct file_bytes *file, const void *bytes, size_t count) {
    if (!bytes_reserve(file, count)) {
        return false;
    }
    if (count > 0) {
        memcpy(file->bytes + file->count, bytes, count);
    }
    file->count += count;
    return true;
}

void file_bytes_release(struct file_bytes *file) {
    free(file->bytes);
    *file = (struct file_bytes){0};
}

/* Reads to the end; returns 0 or an errno. */
static int descriptor_read(int descriptor, struct file_bytes *out) {
    for (;;) {
        if (!bytes_reserve(out, ROOM_AT_FIRST)) {
            return EFBIG;
        }
        ssize_t got = read(descriptor, out->bytes + out->count, out->room - out->count - 1);
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got == 0) {
            out->bytes[out->count] = 0;
            return 0;
        }
        out->count += got > 0 ? (size_t)got : 0;
    }
}

bool file_bytes_read(const char *path, struct file_bytes *out, struct problem *problem) {
    *out = (struct file_bytes){0};
    bool standard = strcmp(path, "-") == 0;
    int descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return problem_set(problem, "%s: %s, expected a file that can be read", path,
                           strerror(errno));
    }
    int error = descriptor_read(descriptor, out);
    if (!standard) {
        (void)close(descriptor);
    }
    if (error == 0 && out->count > 0) {
        return true;
    }
    file_bytes_release(out);
    return error == 0 ? problem_set(problem, "%s: empty file, expected a trace", path)
                      : problem_set(problem, "%s: %s, expected a file that can be read", path,
                                    strerror(error));
}

/* Writes all and waits for the disk; returns 0 or an errno. */
static int descriptor_write(int descriptor, const struct file_bytes *file) {
    size_t done = 0;
    while (done < file->count) {
        ssize_t put = write(descriptor, file->bytes + done, file->count - done);
        if (put < 0 && errno != EINTR) {
            return errno;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    /* EINVAL, EROFS: a device or pipe has no disk to wait for. */
    return fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
}

static bool path_is_special(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && !S_ISREG(status.st_mode);
}

static int descriptor_finish(int descriptor, const struct file_bytes *file) {
    int error = descriptor_write(descriptor, file);
    int close_error = close(descriptor) == 0 ? 0 : errno;
    return error != 0 ? error : close_error;
}

static int special_write(const char *path, const struct file_bytes *file) {
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    return descriptor < 0 ? errno : descriptor_finish(descriptor, file);
}

enum { BESIDE_BYTES = 4096 };

/* Makes an empty file that is to become `path`; returns 0 or an errno. */
static int beside_open(const char *path, char beside[BESIDE_BYTES], int *descriptor) {
    int length = snprintf(beside, BESIDE_BYTES, "%s.%ld.part", path, (long)getpid());
    if (length < 0 || length >= BESIDE_BYTES) {
        return ENAMETOOLONG;
    }
    *descriptor = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return *descriptor < 0 ? errno : 0;
}

static int beside_write(const char *path, const struct file_bytes *file) {
    char beside[BESIDE_BYTES];
    int descriptor;
    int error = beside_open(path, beside, &descriptor);
    if (error != 0) {
        return error;
    }
    error = descriptor_finish(descriptor, file);
    if (error == 0 && rename(beside, path) != 0) {
        error = errno;
    }
    if (error != 0) {
        (void)unlink(beside);
    }
    return error;
}

bool file_bytes_may_write(const char *path, struct problem *problem) {
    char beside[BESIDE_BYTES];
    struct stat status;
    int error, descriptor;
    if (path_is_special(path)) { /* not opened: the reader of a pipe would see it end */
        bool is_folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
        error = is_folder ? EISDIR : access(path, W_OK) == 0 ? 0 : errno;
    } else {
        error = beside_open(path, beside, &descriptor);
        if (error == 0) {
            (void)close(descriptor);
            (void)unlink(beside);
        }
    }
    return error == 0 ||
           problem_set(problem, "%s: %s, expected to write there", path, strerror(error));
}

bool file_bytes_write(const char *path, const struct file_bytes *file, struct problem *problem) {
    int error = path_is_special(path) ? special_write(path, file) : beside_write(path, file);
    return error == 0 || problem_set(problem, "%s: %s, expected to write %zu bytes", path,
                                     strerror(error), file->count);
}

void file_bytes_sha256(const void *bytes, size_t count, char text[65]) {
    static const unsigned char nothing;
    SHA256Data(count > 0 ? bytes : &nothing, count, text);
}

void file_bytes_name(const char *path, char *name, size_t room) {
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    size_t length = dot == NULL || dot == base ? strlen(base) : (size_t)(dot - base);
    length = length < room ? length : room - 1;
    memcpy(name, base, length);
    name[length] = '\0';
}
