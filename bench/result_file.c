/* SPDX-License-Identifier: MIT
 * result_file.c - see result_file.h. The process id in the name keeps two runs apart. */
#include "result_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool result_folder_make(const char *folder, struct problem *problem) {
    char path[512];
    size_t length = strlen(folder);
    if (length == 0 || length >= sizeof path) {
        return problem_set(problem, "%s: cannot make folder, expected a name of 1 to %zu bytes",
                           folder, sizeof path - 1);
    }
    memcpy(path, folder, length + 1);
    for (char *end = path + 1;; end++) {
        if (*end == '/' || *end == '\0') {
            char was = *end;
            *end = '\0';
            if (mkdir(path, 0777) != 0 && errno != EEXIST) {
                return problem_set(problem, "%s: cannot make folder: %s", path, strerror(errno));
            }
            *end = was;
            if (was == '\0') {
                break;
            }
        }
    }
    struct stat status;
    bool is_folder = stat(folder, &status) == 0 && S_ISDIR(status.st_mode);
    if (!is_folder || access(folder, W_OK | X_OK) != 0) {
        return problem_set(problem, "%s: cannot write results: %s", folder,
                           strerror(is_folder ? errno : ENOTDIR));
    }
    return true;
}

bool result_file_open(struct result_file *file, const char *path, struct problem *problem) {
    *file = (struct result_file){0};
    if (strlen(path) >= sizeof file->path) {
        return problem_set(problem, "%s: name too long", path);
    }
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    (void)snprintf(file->beside, sizeof file->beside, "%s.%ld.new", path, (long)getpid());
    file->stream = fopen(file->beside, "w");
    if (file->stream == NULL) {
        return problem_set(problem, "%s: cannot write: %s", file->beside, strerror(errno));
    }
    return true;
}

static bool write_problem(const struct result_file *file, int reason, struct problem *problem) {
    (void)unlink(file->beside);
    return problem_set(problem, "%s: cannot write: %s; what was there before is whole", file->path,
                       strerror(reason != 0 ? reason : EIO));
}

bool result_file_close(struct result_file *file, struct problem *problem) {
    errno = 0;
    bool whole = fflush(file->stream) == 0 && ferror(file->stream) == 0;
    int reason = errno;
    whole &= fclose(file->stream) == 0;
    file->stream = NULL;
    return whole || write_problem(file, reason != 0 ? reason : errno, problem);
}

bool result_file_publish(struct result_file *file, struct problem *problem) {
    return rename(file->beside, file->path) == 0 || write_problem(file, errno, problem);
}

void result_file_drop(struct result_file *file) {
    (void)unlink(file->beside);
}

bool result_file_commit(struct result_file *file, struct problem *problem) {
    return result_file_close(file, problem) && result_file_publish(file, problem);
}
