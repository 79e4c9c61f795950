/* SPDX-License-Identifier: MIT
 * campaign_files.c - see campaign_files.h. */
#include "campaign_files.h"

#include "../trace/file_bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void files_path(char path[FILES_PATH], const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vsnprintf(path, FILES_PATH, format, list);
    va_end(list);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_add(struct files *files, const char *name) {
    if (files->count == files->room) {
        size_t room = files->room > 0 ? 2 * files->room : 64;
        char **names = realloc(files->names, room * sizeof *names);
        if (names == NULL) {
            return false;
        }
        files->names = names;
        files->room = room;
    }
    files->names[files->count] = strdup(name);
    return files->names[files->count] != NULL && ++files->count > 0;
}

struct files files_list(const char *folder) {
    struct files files = {0};
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && !name_add(&files, entry->d_name)) {
            break;
        }
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    if (files.count > 0) {
        qsort(files.names, files.count, sizeof *files.names, by_name);
    }
    return files;
}

void files_release(struct files *files) {
    for (size_t i = 0; i < files->count; i++) {
        free(files->names[i]);
    }
    free(files->names);
    *files = (struct files){0};
}

int64_t files_size(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_size : -1;
}

uint64_t files_bytes(const char *folder, const struct files *files) {
    uint64_t sum = 0;
    char path[FILES_PATH];
    for (size_t i = 0; i < files->count; i++) {
        files_path(path, "%s/%s", folder, files->names[i]);
        int64_t bytes = files_size(path);
        sum += bytes > 0 ? (uint64_t)bytes : 0;
    }
    return sum;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0;
}

void files_remove(const char *path) {
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool files_write(const char *path, const void *bytes, size_t count) {
    struct file_bytes file = {0};
    struct problem ignored;
    bool fine = file_bytes_append(&file, bytes, count) && file_bytes_write(path, &file, &ignored);
    file_bytes_release(&file);
    return fine;
}

bool files_write_text(const char *path, const char *first, const char *second) {
    char text[256];
    int bytes = snprintf(text, sizeof text, "%s %s\n", first, second);
    return bytes > 0 && (size_t)bytes < sizeof text && files_write(path, text, (size_t)bytes);
}

void files_sha1(const void *bytes, size_t count, char text[41]) {
    static const unsigned char nothing;
    SHA1Data(count > 0 ? bytes : &nothing, count, text);
}

bool files_sha1_of(const char *path, char text[41]) {
    struct file_bytes file = {0};
    struct problem ignored;
    bool fine = file_bytes_read(path, &file, &ignored);
    if (fine) {
        files_sha1(file.bytes, file.count, text);
    } else if (files_size(path) == 0) {
        files_sha1(NULL, 0, text);
        fine = true;
    }
    file_bytes_release(&file);
    return fine;
}

bool files_equal(const char *a, const char *b) {
    char sha1_a[41], sha1_b[41];
    return files_sha1_of(a, sha1_a) && files_sha1_of(b, sha1_b) && strcmp(sha1_a, sha1_b) == 0;
}

bool files_is_link(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

int files_lock(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) != 0) {
        (void)close(file);
        file = -1;
    }
    return file;
}

void files_sync(const char *folder) {
    int file = open(folder, O_RDONLY | O_DIRECTORY);
    if (file >= 0) {
        (void)syncfs(file);
        (void)close(file);
    }
}

uint64_t files_room(const char *folder) {
    struct statvfs status;
    return statvfs(folder, &status) == 0 ? (uint64_t)status.f_bavail * status.f_frsize : UINT64_MAX;
}

const char *files_program(void) {
    static char path[1024];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    return path;
}

const char *files_program_folder(void) {
    static char path[1024];
    files_path(path, "%s", files_program());
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    return path;
}
