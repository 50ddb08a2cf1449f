"""The model that the prototype's two programs import and did not come with."""

from pydantic import BaseModel


class Evento(BaseModel):
    id: str
    tipo: str
