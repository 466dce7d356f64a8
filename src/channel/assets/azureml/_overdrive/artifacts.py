"""Files that a run keeps: copied into its artifacts folder under a temporary name, then renamed."""
import io
import os
import shutil
import uuid

from azureml._overdrive import objects
from azureml._overdrive.values import problem


def beneath(root, name):
    """A path below `root` for a name given by the script."""
    parts = [part for part in str(name).replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in str(name):
        raise problem("UserErrorException", "artifact name {!r} does not stay inside the artifacts folder".format(name))
    return "/".join(parts), os.path.join(root, *parts)


class Artifacts(object):
    """The part of a run that deals with files; needs `_od_artifacts`, `_write` and `id`."""

    def _artifact(self, kind, name, target):
        root = os.path.dirname(self._od_artifacts.rstrip("/"))
        self._write({"artifact": kind, "name": str(name), "path": os.path.relpath(target, root).replace(os.sep, "/")})

    def _store(self, kind, name, source):
        inside, target = beneath(self._od_artifacts, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = os.path.join(os.path.dirname(target), ".{}.{}".format(os.getpid(), uuid.uuid4().hex[:8]))
        try:
            with io.open(temporary, "wb") as file:
                if hasattr(source, "read"):
                    content = source.read()
                    file.write(content.encode("utf-8") if isinstance(content, str) else content)
                else:
                    with io.open(source, "rb") as origin:
                        shutil.copyfileobj(origin, file, 1 << 20)
            os.rename(temporary, target)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)
        self._artifact(kind, inside, target)
        return target

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Keeps a file or stream as artifact `name`."""
        if not hasattr(path_or_stream, "read") and not os.path.isfile(str(path_or_stream)):
            raise problem("UserErrorException", "file {} to upload does not exist".format(path_or_stream))
        self._store("file", name, path_or_stream)

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        """Keeps several files."""
        if len(names) != len(paths):
            raise TypeError("names and paths differ in length")
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name, path, datastore_name=None):
        """Keeps a whole folder below artifact `name`."""
        if not os.path.isdir(str(path)):
            raise problem("UserErrorException", "folder {} to upload does not exist".format(path))
        for folder, _, files in os.walk(str(path)):
            for file in sorted(files):
                full = os.path.join(folder, file)
                self._store("file", os.path.join(str(name), os.path.relpath(full, str(path))), full)

    def get_file_names(self):
        """Names of all artifacts."""
        found = []
        for folder, _, files in os.walk(self._od_artifacts):
            found += [os.path.relpath(os.path.join(folder, file), self._od_artifacts).replace(os.sep, "/") for file in files]
        return sorted(found)

    def download_file(self, name, output_file_path=None, _validate_checksum=False):
        """Copies an artifact out."""
        inside, source = beneath(self._od_artifacts, name)
        if not os.path.isfile(source):
            raise problem("UserErrorException", "file with path {} was not found".format(name))
        target = str(output_file_path or os.path.basename(inside))
        if os.path.isdir(target) or target.endswith("/"):
            target = os.path.join(target, os.path.basename(inside))
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        shutil.copyfile(source, target)

    def download_files(self, prefix=None, output_directory=None, output_paths=None, batch_size=100, append_prefix=True,
                       timeout_seconds=None):
        """Copies all artifacts below `prefix` out."""
        names = [name for name in self.get_file_names() if prefix is None or name.startswith(prefix)]
        if isinstance(output_paths, str):
            output_paths = [output_paths]
        if output_paths is not None and len(output_paths) != len(names):
            raise problem("UserErrorException", "output_paths must name {} files".format(len(names)))
        for at, name in enumerate(names):
            local = output_paths[at] if output_paths else name if append_prefix or not prefix else name[len(prefix):].lstrip("/")
            self.download_file(name, os.path.join(output_directory or "", local or os.path.basename(name)))

    def register_model(self, model_name, model_path=None, tags=None, properties=None, model_framework=None,
                       model_framework_version=None, description=None, datasets=None, sample_input_dataset=None,
                       sample_output_dataset=None, resource_configuration=None, **kwargs):
        """Registers an uploaded file or folder in the local model registry."""
        inside, source = beneath(self._od_artifacts, model_path or model_name)
        if not os.path.exists(source):
            raise problem("ModelPathNotFoundException",
                          "could not locate the provided model_path {} in the set of files uploaded to the run".format(inside))
        model = objects.register(model_name, source, tags, properties, description, run_id=self.id)
        self._artifact("model", model.id, source)
        return model
