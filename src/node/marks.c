/*
 * Marks in the data directory: small files whose being there is the message, so that the next start
 * knows it too. What stands in them is for people.
 */
#include "node/internal.h"

#include <string.h>

static void mark_failed(const struct node *node, const char *name)
{
    log_error(node->logger, "cannot write %s why=%s", name,
              node->fs.ops->last_error(node->fs.ctx));
}

void marks_put(struct node *node, const char *name, const char *text)
{
    const struct fs_ops *ops = node->fs.ops;
    struct fs_file *file;
    if (ops->open(node->fs.ctx, name, FS_OPEN_CREATE_FRESH, &file) != ERR_OK) {
        mark_failed(node, name);
        return;
    }
    if (ops->write(node->fs.ctx, file, 0, text, strlen(text)) != ERR_OK ||
        ops->sync(node->fs.ctx, file) != ERR_OK || ops->sync_dir(node->fs.ctx, "") != ERR_OK)
        mark_failed(node, name);
    ops->close(node->fs.ctx, file);
}

bool marks_has(const struct node *node, const char *name)
{
    struct fs_file *file;
    if (node->fs.ops->open(node->fs.ctx, name, FS_OPEN_READ, &file) != ERR_OK)
        return false;
    node->fs.ops->close(node->fs.ctx, file);
    return true;
}
