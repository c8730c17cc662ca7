"""The Sample Data module as seen by a module that adds to it: the signatures of Slicer 5.10 and later, no others."""

# mypy: ignore-errors

from types import ModuleType

import slicer

_LISTS = ("uris", "fileNames", "nodeNames", "loadFiles", "loadFileTypes", "checksums")


class SampleDataSource:
    """One data set. Everything but its name is a list with one entry a file; single values become lists of one."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
        loadFileType=None,
    ) -> None:
        self.sampleName, self.sampleDescription = sampleName, sampleDescription or sampleName
        given = (uris, fileNames, nodeNames, loadFiles, loadFileTypes or loadFileType, checksums)
        for name, value in zip(_LISTS, given, strict=True):
            setattr(self, name, self._list(uris, value))
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}
        if len({len(getattr(self, name)) for name in _LISTS}) > 1:  # a TypeError where there is no list at all
            raise ValueError("All fields of sample data source must have the same length")

    @staticmethod
    def _list(uris, value):
        if isinstance(uris, str):
            return [value]
        several = isinstance(uris, list | tuple) and (value is None or isinstance(value, str))
        return [value] * len(uris) if several else value


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties={},  # noqa: B006
        checksums=None,
        loadFileType=None,
    ) -> None:
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes or loadFileType,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, []).append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])

    def sourceForSampleName(self, sampleName):
        groups = self.sampleDataSourcesByCategory().values()
        return next((source for group in groups for source in group if source.sampleName == sampleName), None)

    def downloadSamples(self, sampleName):
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source is not None else None

    def downloadSample(self, sampleName):
        return self.downloadSamples(sampleName)[0]

    def downloadFromSource(self, source):
        raise NotImplementedError(
            "Slicer's logic downloads what has an address and ignores a customDownloader, which its panel alone calls; "
            "this host downloads nothing"
        )


def sample_data_module() -> ModuleType:
    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.SampleDataSource = SampleDataSource
    module.downloadSample = lambda name: SampleDataLogic().downloadSample(name)
    return module
